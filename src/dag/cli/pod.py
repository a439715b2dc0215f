"""`dag pod`: build in one pod, follow it, end with the build's result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.cli.options import command_of
from dag.cli.outputs import require_directories, write_results
from dag.core.pod.options import PodOptions
from dag.report.envelope import envelope
from dag.report.terminal import Terminal, show, show_document, tell

if TYPE_CHECKING:
    from dag.core.pod.events import PodResult


@command_of(
    PodOptions,
    ("Build brotli and what it needs, and bring the packages here.", "dag pod --out built brotli"),
    ("Print the manifest and create nothing.", "dag pod --create=false --push=false brotli"),
    ("Build everything for two architectures at once.", "dag pod --arch x86_64,aarch64"),
)
def command(options: PodOptions) -> int:
    """Build packages in a pod of a Kubernetes cluster.

    These are PKG and what they depend on, or everything. The directory becomes an image; the pod
    unpacks it and runs make. Its log is followed, and the command ends with the result of the build.
    The exit code is 0 if everything is built, 1 if the build failed, 2 if the request was wrong, 3
    if the cluster, the registry or the network failed, and 130 after an interruption.
    """
    from dag.report import pods
    from dag.run.pod.command import build_in_pods, manifests

    require_directories(junit=options.junit, markdown=options.markdown)
    # With --json the standard output is for the JSON alone.
    terminal = Terminal(verbosity=options.verbose, logs_aside=options.json)
    if not options.create:
        from dag.report.manifest import to_yaml

        made = manifests(options, terminal)
        if options.json:
            show_document(envelope("manifests", {"manifests": made}))
        else:
            show_document("---\n".join(map(to_yaml, made)))
        return 0
    created: list[str] = []

    def note(name: str) -> None:
        created.append(name)
        if not options.json:
            show([name])

    outcome = build_in_pods(options, terminal, created=note)
    for result in outcome.results:
        _show_result(result, outcome.namespace, terminal)
    results = {result.label or str(options.arch[0]): result for result in outcome.results}
    write_results(
        options,
        json=lambda: pods.to_json(results, created, outcome.namespace, outcome.exit_code),
        junit=lambda: pods.to_junit(results),
        markdown=lambda: pods.to_markdown(results, created),
    )
    return outcome.exit_code


def _show_result(result: PodResult, namespace: str, terminal: Terminal) -> None:
    from dag.report.pods import why
    from dag.report.words import seconds

    ending = result.ending
    terminal = terminal.about(result.label)
    if ending.exit_code == 0:
        terminal.say(f"done after {seconds(result.seconds)}")
        if ending.hint:
            terminal.say(ending.hint)
        return
    terminal.complain(why(result))
    if ending.hint:
        terminal.complain(f"hint: {ending.hint}")
    if result.tail:
        terminal.complain(f"the last lines of the log of container {ending.container}:")
        for line in result.tail:
            tell(f"    {line}")
    if result.kept:
        terminal.complain(
            f"the whole log: kubectl logs -n {namespace} {result.name} -c {ending.container}"
        )
