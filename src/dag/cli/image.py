"""`dag image`: make the image of what runs in pods beside the build."""

from __future__ import annotations

from dag.cli.options import command_of
from dag.core.image.options import ImageOptions
from dag.report.terminal import say, show, show_document


@command_of(
    ImageOptions,
    ("Make the image and push it.", "dag image --push registry.example.com/me/dag"),
    ("Write it to a file, for a site without a package index.", "dag image --save agent.tar"),
)
def command(options: ImageOptions) -> int:
    """Make the image of what runs in pods beside the build.

    That is dag itself, called the agent: it lays out what is built and takes away what was built.
    `dag pod` makes it on its own and pushes it beside the bundle. This command is for sites where that
    cannot be: with --save it goes to a file, with --push to a registry, and --agent-image of `dag pod`
    takes it from there. It needs no docker. The name or the digest of the image goes to the standard
    output.
    """
    from dag.report.envelope import envelope
    from dag.run.image.agent import make_image

    made = make_image(options, say)
    if options.json:
        body = {"digest": made.digest, "image": made.reference, "file": options.save}
        show_document(envelope("image", body))
    else:
        show([made.reference or made.digest])
    return 0
