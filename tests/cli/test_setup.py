"""`dag setup` without a cluster: what it prints, what it calls, and how it goes on after a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.golden import Golden
from tests.support.keys import private_key
from tests.support.schema import checked
from tests.support.standins.programs import HANG, IGNORE, Standins
from tests.support.waiting import eventually

GOLDEN = Path(__file__).parent / "golden"
KEY = private_key()
IMAGE = "r.example.com/dag:1"
ENGINE = """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtsWq48miVQ/nMXv9jQcY
YAL6EkpU1P8RCheP2pe9wpzWggMO0s/Vzy5SDfC3SVNXhpqzrIU/I5FK70yI8Hgg
Nnyi8R66dIBXEW9Wj37GTCMePQlL0kFxTi8YfK5LhEF+aI4JHWMvC1jYQsJEeZnL
FZAW4hJais75HdqhtHqtNsAvTrtk3r6MJUkJtQTZTtuZgN66qFGY64VbNQCBe55p
ysdvAClyJc3rU9kLuwrb0GGWaMNFwVPyWthjk8XHzeLeHL0a0IOuJxQxV4tK4yHG
9r3tN2HSrpCm5jgmufF/UL8OQennVVzQg/9FRRaiOELhoznqIP40aW73EJq4Sv+V
owIDAQAB
-----END PUBLIC KEY-----
"""
"""The public half of the key of whoever drives builds, which is a part of scripts."""

SCRIPTS = {
    "gke": "gke --project=shop --zone=europe-west4-a --bucket=gs://apks/wolfi --src-bucket=old"
    " --secret-key --arm --user=ann@example.com --namespace=builds --service-account=builder",
    "gke-addon": "gke --project=shop --region=us-east1 --signing-key=melange.rsa"
    " --csi-driver=secrets-store-gke.csi.k8s.io",
    "kind": "kind --binfmt",
    "cluster": "cluster --context=ours --kubeconfig=/etc/kube/config --namespace=builds"
    " --service-account=builder --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag"
    " --group=builders --user=ann --secret-key --project=shop --arm"
    " --close-network --reach=10.1.2.0/24 --reach=10.1.2.3",
    "signer": "signer --context=ours --store=pvc://packages/dist --signing-key=melange.rsa"
    " --agent-image=r.example.com/dag@sha256:" + "0" * 64 + " --user=ann --node-selector=pool=keys",
    "signer-class": "signer --context=ours --signer-namespace=keys --store=s3://packages/wolfi"
    " --secret-class=melange-key --signing-key-name=wolfi --agent-image=r.example.com/dag:1"
    " --namespace=builds --reach=10.1.2.3 --trust-store"
    " --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::123456789012:role/signer",
}


@pytest.fixture
def standins(tmp_path: Path) -> Iterator[Standins]:
    with Standins(tmp_path / "standins") as made:
        yield made


def dag(*words: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DAG_")}
    clean.pop("PROJECT", None)
    clean["XDG_DATA_HOME"] = str(place / "data")
    return commands.dag("setup", *words, environment=clean | environment, cwd=place)


@pytest.mark.parametrize("undo", [False, True], ids=["do", "undo"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_is_the_one_that_was_read(
    tmp_path: Path, name: str, undo: bool, golden: Golden
) -> None:
    (tmp_path / "melange.rsa").write_text(KEY)
    engine = tmp_path / "data/dag/keys/engine/engine.rsa"
    engine.parent.mkdir(parents=True)
    engine.write_text(KEY)
    engine.with_name("engine.rsa.pub").write_text(ENGINE)
    words = [*SCRIPTS[name].split(), *(["--undo"] if undo else [])]
    done = dag(*words, "--print", place=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"setup-{name}{'-undo' if undo else ''}.sh", done.stdout)
    assert done.stdout.startswith(f"#!/bin/sh\n# What `dag setup {' '.join(words)}` does.\n")


def test_programs_get_the_script_and_what_builds_need_to_be_told(tmp_path: Path) -> None:
    done = dag("kind", "--binfmt", "--print", "--json", place=tmp_path)
    found = checked(done.stdout, "setup")
    assert found["script"] == (GOLDEN / "setup-kind.sh").read_text()
    assert found["flags"]["bundle-repo"]
    assert len(found["steps"]) > 3
    refused = dag("kind", "--json", place=tmp_path)
    assert refused.returncode == 2
    assert "--json is of no use without --print" in refused.stderr


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("setup-*.sh")), ids=lambda path: path.stem)
def test_every_script_is_one_that_shells_can_read(golden: Path) -> None:
    done = subprocess.run(["sh", "-n", golden], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["gke-addon", "kind"])
def test_the_namespace_default_is_left_alone_unless_it_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "melange.rsa").write_text(KEY)
    words = SCRIPTS[name].split()
    script = dag(*words, "--print", place=tmp_path).stdout
    assert "namespace: default" not in script
    assert "name: dag-builds\n  labels:\n    pod-security.kubernetes.io/enforce" in script
    assert script.splitlines()[-1].startswith("echo 'ready: dag pod ")
    assert " --namespace=dag-builds " in script.splitlines()[-1]
    named = dag(*words, "--namespace=default", "--print", place=tmp_path).stdout
    assert "name: default\n  labels:\n    pod-security.kubernetes.io/enforce" in named


def test_a_binding_is_ours_only_if_its_account_is(tmp_path: Path, standins: Standins) -> None:
    gcloud = str(standins.directory / "bin" / "gcloud")
    member = "--member=serviceAccount:dag-nodes@p.iam.gserviceaccount.com"
    role = "--role=roles/container.defaultNodeServiceAccount"
    for call in (
        ("iam", "service-accounts", "create", "dag-nodes", "--project=p", "--description=mine"),
        ("projects", "add-iam-policy-binding", "p", member, role, "--condition=None"),
    ):
        environment = os.environ | standins.environment
        subprocess.run([gcloud, *call], check=True, env=environment, stdin=subprocess.DEVNULL)
    before = standins.world["projects"]
    words = ("gke", "--project=p", "--zone=z", "--undo")
    environment = standins.environment | {"KUBECONFIG": str(tmp_path / "none")}
    done = dag(*words, "--yes", place=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert standins.world["projects"] == before
    script = dag(*words, "--print", place=tmp_path).stdout
    ran = subprocess.run(["sh", "-c", script], env=os.environ | environment, check=False)
    assert ran.returncode == 0
    assert standins.world["projects"] == before


def test_printing_runs_nothing_and_needs_nothing(tmp_path: Path, standins: Standins) -> None:
    done = dag(*SCRIPTS["gke"].split(), "--print", place=tmp_path, **standins.environment)
    assert done.returncode == 0
    assert standins.calls() == []
    empty = tmp_path / "empty"
    empty.mkdir()
    assert dag("kind", "--print", place=tmp_path, PATH=str(empty)).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("gke --project=p", "give either --zone, like europe-west4-a, or --region"),
        (
            "gke --project=p --zone=a --region=b",
            "nothing says where the cluster is to be, or two flags do",
        ),
        ("gke --zone=europe-west4-a", "give --project, or `gcloud config set project`"),
        ("gke --project=p --zone=z --bucket=s3://b", "'s3://b' is not a bucket of Google Cloud"),
        ("gke --project=p --zone=z --signing-key=public", "public is no RSA key in PEM"),
        (
            "gke --project=p --zone=z --signing-key=none",
            "the key none cannot be read: No such file or directory",
        ),
        (
            f"signer --store=pvc://p --agent-image={IMAGE}",
            "give either --signing-key FILE, or --secret-class NAME",
        ),
        (
            f"signer --store=pvc://p --agent-image={IMAGE} --secret-class=c",
            "give --signing-key-name, the name that those have who verify",
        ),
        (
            f"signer --store=pvc://p --agent-image={IMAGE} --secret-class=c --signing-key-name=../k",
            "'../k' is no name of a key that apk finds",
        ),
        (
            f"signer --store=packages --agent-image={IMAGE} --signing-key=public",
            "needs a store that all nodes reach",
        ),
        (
            f"signer --store=pvc://p --agent-image={IMAGE} --signing-key=public",
            "public is no RSA key in PEM",
        ),
        (
            f"signer --store=pvc://p --agent-image={IMAGE} --signing-key=p --signer-namespace=dag-builds",
            "the signer would be in dag-builds, where builds are, and so they would have its key",
        ),
        ("kind --cluster=a;b", "--cluster 'a;b' is no name that docker takes"),
        ("cluster --annotation=x", "--annotation: 'x' is not KEY=VALUE"),
        ("cluster --namespace", "requires an argument"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_called(
    tmp_path: Path, standins: Standins, words: str, message: str
) -> None:
    (tmp_path / "public").write_text("-----BEGIN PUBLIC KEY-----\n")
    done = dag(*words.split(), place=tmp_path, **standins.environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert standins.changes() == []


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("gke --project=p --zone=z", "gcloud"),
        ("kind", "docker"),
        ("kind --undo --yes", "docker"),
    ],
)
def test_a_program_that_is_missing_is_named(tmp_path: Path, words: str, missing: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = dag(*words.split(), place=tmp_path, PATH=str(empty))
    assert done.returncode == 3
    assert f"dag: {missing} is not installed\nhint: install " in done.stderr


def test_a_failure_in_the_middle_is_gone_on_with(tmp_path: Path, standins: Standins) -> None:
    words = ("gke", "--project=p", "--zone=z")
    environment = standins.environment | {"KUBECONFIG": str(tmp_path / "none")}
    standins.fail("clusters create", saying="ERROR: quota 'CPUS' exceeded")
    first = dag(*words, place=tmp_path, **environment)
    assert first.returncode == 3
    assert "Cluster dag" in first.stderr
    assert "gcloud failed at the step" in first.stderr
    assert ": ERROR: quota 'CPUS' exceeded" in first.stderr
    made = [str(call) for call in standins.changes()]
    assert made[-1].startswith("gcloud container clusters create dag")
    standins.fail("get-credentials", saying="ERROR: that is enough for this test")
    second = dag(*words, place=tmp_path, **environment)
    assert second.returncode == 3
    assert "6/18 Account dag-nodes: nodes run as this account (there already)" in second.stderr
    assert [str(call).split("--")[0].strip() for call in standins.changes()] == [
        "gcloud container clusters create dag",
        "gcloud container clusters get-credentials dag",
    ]


def test_a_cluster_that_was_there_gets_what_it_lacks_and_stays(
    tmp_path: Path, standins: Standins
) -> None:
    gcloud = str(standins.directory / "bin" / "gcloud")
    where = ["--zone=z", "--project=p"]
    made = [gcloud, "container", "clusters", "create", "dag", *where]
    subprocess.run(made, check=True, env=os.environ | standins.environment, stdin=-3)
    standins.fail("get-credentials", saying="ERROR: that is enough for this test")
    words = ("gke", *where)
    environment = standins.environment | {"KUBECONFIG": str(tmp_path / "none")}
    assert dag(*words, place=tmp_path, **environment).returncode == 3
    updates = [str(call) for call in standins.changes() if "clusters" in call.argv]
    assert [update.split("--project=p ")[-1].split("=")[0] for update in updates[1:3]] == [
        "--workload-pool",
        "--enable-autoprovisioning --max-cpu",
    ]


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a cloud that settles soon and is asked often."""
    monkeypatch.setattr("dag.run.setup.steps._SETTLING", 0.1)
    monkeypatch.setattr("dag.run.setup.steps._PAUSE", 0.01)


@pytest.mark.usefixtures("prompt")
def test_an_account_that_is_not_known_everywhere_yet_is_waited_for(
    tmp_path: Path, standins: Standins
) -> None:
    standins.fail(
        "projects add-iam-policy-binding", saying="ERROR: Service account does not exist."
    )
    standins.fail("clusters create", saying="ERROR: that is enough for this test")
    words = ("gke", "--project=p", "--zone=z")
    done = dag(*words, place=tmp_path, **standins.environment)
    assert (
        "the cloud may not know everywhere yet what the command names: trying again" in done.stderr
    )
    bindings = [call for call in standins.changes() if call.argv[1] == "projects"]
    assert len(bindings) == 2
    assert bindings[0] == bindings[1]


@pytest.mark.usefixtures("prompt")
def test_a_command_that_only_says_it_succeeded_is_found_out(
    tmp_path: Path, standins: Standins
) -> None:
    standins.fail("services enable container", saying=IGNORE)
    words = ("gke", "--project=p", "--zone=z")
    done = dag(*words, place=tmp_path, **standins.environment)
    assert done.returncode == 3
    assert "API container.googleapis.com: the command succeeded, but had no effect" in done.stderr
    assert len(standins.changes()) == 1


def test_an_interrupted_step_ends_with_its_program(tmp_path: Path, standins: Standins) -> None:
    standins.fail("clusters create", saying=HANG)
    process = subprocess.Popen(
        [sys.executable, "-m", "dag", "setup", "gke", "--project=p", "--zone=z"],
        env=os.environ | {"PYTHONPATH": "src"} | standins.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    hanging = standins.directory / "hanging"
    eventually(lambda: hanging.exists() and hanging.read_text(), "gcloud runs")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "dag: interrupted: Cluster dag" in errors
    assert errors.endswith("hint: run it again to continue from there\n")
    assert not Path(f"/proc/{hanging.read_text()}").exists()


def test_undoing_is_not_fooled_by_an_expired_login(tmp_path: Path, standins: Standins) -> None:
    gcloud = standins.directory / "bin" / "gcloud"
    gcloud.write_text("#!/bin/sh\necho 'ERROR: Reauthentication failed.' >&2\nexit 1\n")
    words = ("gke", "--project=p", "--zone=z", "--undo", "--yes")
    done = dag(*words, place=tmp_path, **standins.environment)
    assert done.returncode == 3
    assert "Reauthentication failed" in done.stderr


def test_no_name_gets_out_of_its_place_in_the_script(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_text('user = "ann\\nEOF\\ntouch out1; $(touch out2)"\n')
    (tmp_path / "kubectl").write_text("#!/bin/sh\ncat >/dev/null\n")
    (tmp_path / "kubectl").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    for undo in ((), ("--undo",)):
        words = ("cluster", "--context=$(touch out6)", "--annotation=k=$(touch out5)", *undo)
        script = dag(*words, "--print", place=tmp_path)
        assert script.returncode == 0, script.stderr
        subprocess.run(
            ["sh", "-c", script.stdout],
            env=os.environ | {"PATH": path},
            cwd=tmp_path,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    for flag in ("--namespace", "--service-account"):
        refused = dag("cluster", f"{flag}=a; touch out3", "--print", place=tmp_path)
        assert refused.returncode == 2
        assert "'a; touch out3' is no name in Kubernetes" in refused.stderr
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize("undo", [(), ("--undo", "--yes"), ("--print",)])
def test_without_a_cluster_it_is_said_once(tmp_path: Path, undo: tuple[str, ...]) -> None:
    nowhere = {"HOME": str(tmp_path), "KUBECONFIG": ""}
    done = dag("cluster", *undo, place=tmp_path, **nowhere)
    assert done.returncode == 3
    assert done.stderr.count("no cluster is configured") == 1


def test_a_key_that_is_meant_for_builds_here_stays_here(tmp_path: Path) -> None:
    (tmp_path / "melange.rsa").write_text(KEY)
    (tmp_path / "dag.toml").write_text('signing-key = "melange.rsa"\n')
    words = ("gke", "--project=p", "--zone=z", "--print")
    elsewhere = {"DAG_SIGNING_KEY": "melange.rsa"}
    done = dag(*words, place=tmp_path, **elsewhere)
    assert done.returncode == 0
    assert "gcloud secrets" not in done.stdout
    asked = dag(*words, "--signing-key=melange.rsa", place=tmp_path)
    assert "--data-file=melange.rsa" in asked.stdout


def test_dag_toml_has_a_table_for_it(tmp_path: Path) -> None:
    (tmp_path / "dag.toml").write_text('namespace = "builds"\n[setup]\nport = 5009\nzone = "z"\n')
    done = dag("kind", "--print", place=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--publish=127.0.0.1:5009:5000" in done.stdout
    assert "ours_to_make namespace builds" in done.stdout
    (tmp_path / "dag.toml").write_text("[setup]\nprot = 5009\n")
    wrong = dag("kind", "--print", place=tmp_path)
    assert wrong.returncode == 2
    assert "dag.toml:2: no flag is called 'prot'" in wrong.stderr
    assert "did you mean " in wrong.stderr
    assert " port " in wrong.stderr


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (name, text, f"dag.toml:{line}: {name}: only the command line can ask for this")
        for name in ("undo", "yes")
        for line, text in ((1, f"{name} = true\n"), (2, f"[setup]\n{name} = false\n"))
    ],
)
@pytest.mark.parametrize("command", ["cluster", "gke", "kind"])
def test_undo_is_never_taken_from_dag_toml(
    tmp_path: Path, command: str, name: str, text: str, sentence: str
) -> None:
    (tmp_path / "dag.toml").write_text(text)
    done = dag(command, "--print", place=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert f"hint: remove it there, and type --{name} when you want it" in done.stderr


@pytest.mark.parametrize("variable", ["DAG_UNDO", "DAG_YES"])
def test_undo_is_never_taken_from_the_environment(tmp_path: Path, variable: str) -> None:
    done = dag("kind", "--print", place=tmp_path, **{variable: "true"})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"${variable}: only the command line can ask for this" in done.stderr
