"""A gcloud with as much as `dag setup gke` calls; it accepts the flags that the reference lists.

https://cloud.google.com/sdk/gcloud/reference
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.standins.world import Call, World, fail

COMMON = {"project", "format", "quiet", "flatten"}
BINDING = {"member", "role"}
PLACE = {"zone", "region", "location"}
# By the words of a command, the flags that it takes besides the common ones.
COMMANDS: dict[str, set[str]] = {
    "config get-value": set(),
    "services list": {"enabled"},
    "services enable": set(),
    "artifacts repositories describe": {"location"},
    "artifacts repositories create": {"location", "repository-format", "labels", "description"},
    "artifacts repositories delete": {"location"},
    "artifacts repositories add-iam-policy-binding": {"location", *BINDING},
    "artifacts repositories remove-iam-policy-binding": {"location", *BINDING},
    "artifacts repositories get-iam-policy": {"location"},
    "iam service-accounts describe": set(),
    "iam service-accounts create": {"description", "display-name"},
    "iam service-accounts delete": set(),
    "iam service-accounts add-iam-policy-binding": {"condition", *BINDING},
    "iam service-accounts remove-iam-policy-binding": {"condition", *BINDING},
    "iam service-accounts get-iam-policy": set(),
    "projects add-iam-policy-binding": {"condition", *BINDING},
    "projects remove-iam-policy-binding": {"condition", *BINDING},
    "projects get-iam-policy": set(),
    "container clusters describe": PLACE,
    "container clusters create": {
        *PLACE,
        *{"release-channel", "labels", "num-nodes", "service-account", "scopes", "workload-pool"},
        *{"enable-autoprovisioning", "max-cpu", "max-memory", "machine-type"},
        *{"autoprovisioning-service-account", "autoprovisioning-scopes", "enable-secret-manager"},
    },
    "container clusters update": {
        *PLACE,
        *{"workload-pool", "enable-autoprovisioning", "max-cpu", "max-memory"},
        *{"autoprovisioning-service-account", "autoprovisioning-scopes", "enable-secret-manager"},
    },
    "container clusters delete": PLACE,
    "container clusters get-credentials": PLACE,
    "container node-pools describe": {"cluster", *PLACE},
    "container node-pools create": {
        *{"cluster", "machine-type", "num-nodes", "enable-autoscaling", "min-nodes", "max-nodes"},
        *{"service-account", "scopes", "workload-metadata", "node-labels", *PLACE},
    },
    "container node-pools delete": {"cluster", *PLACE},
    "storage buckets describe": set(),
    "storage buckets create": {
        *{"location", "uniform-bucket-level-access", "public-access-prevention"},
    },
    "storage buckets add-iam-policy-binding": {"condition", *BINDING},
    "storage buckets remove-iam-policy-binding": {"condition", *BINDING},
    "storage buckets get-iam-policy": set(),
    "secrets describe": set(),
    "secrets create": {"replication-policy", "labels", "data-file"},
    "secrets delete": set(),
    "secrets add-iam-policy-binding": {"condition", *BINDING},
    "secrets remove-iam-policy-binding": {"condition", *BINDING},
    "secrets get-iam-policy": set(),
    "secrets versions add": {"data-file"},
    "secrets versions describe": {"secret"},
}


def answer(world: World, call: Call) -> str | None:
    words, flags, operands = _parse(call.argv[1:])
    *noun, verb = words.split()
    if noun[0] in ("services", "config"):
        return "(unset)" if verb == "get-value" else _services(world, verb, operands)
    if words.startswith("secrets versions"):
        return _versions(world, verb, flags, operands, call.directory)
    things = world.setdefault(" ".join(noun), {})
    key = _key(operands[0], flags)
    if verb == "create":
        if key in things:
            fail(f"ERROR: (gcloud.{'.'.join(noun)}.create) ALREADY_EXISTS: {key}")
        things[_made_as(noun, key, flags)] = _resource(noun, operands[0], flags)
        return None
    if noun == ["projects"]:
        things.setdefault(key, {})
    if key not in things:
        fail(f"ERROR: (gcloud.{'.'.join(noun)}.{verb}) NOT_FOUND: {key} was not found")
    if verb == "delete":
        if "quiet" not in flags:
            fail("ERROR: there is nobody to ask")
        del things[key]
        return None
    if verb == "get-credentials":
        place = flags.get("zone") or flags["region"]
        call.write_credentials(f"gke_{flags['project']}_{place}_{operands[0]}")
        return None
    return _answer_of(world, things[key], verb, flags)


def _answer_of(world: World, thing: dict[str, Any], verb: str, flags: dict[str, str]) -> str | None:
    match verb:
        case "describe":
            return _show(thing, flags["format"])
        case "update":
            thing |= _cluster(flags)
            return None
        case _:
            return _policy(world, thing, verb, flags)


def _parse(argv: tuple[str, ...]) -> tuple[str, dict[str, str], list[str]]:
    plain = [word for word in argv if not word.startswith("--")]
    known = [name for name in COMMANDS if plain[: len(name.split())] == name.split()]
    if not known:
        fail(f"ERROR: (gcloud) Invalid choice: {' '.join(argv)}")
    name = max(known, key=len)
    flags = {}
    for word in argv:
        if word.startswith("--"):
            flag, _, value = word[2:].partition("=")
            if flag not in COMMANDS[name] | COMMON:
                fail(f"ERROR: (gcloud.{name}) unrecognized arguments: {word}")
            flags[flag] = value
    return name, flags, plain[len(name.split()) :]


def _key(name: str, flags: dict[str, str]) -> str:
    places = [f"{flag}={flags[flag]}" for flag in ("zone", "region", "location") if flag in flags]
    return " ".join([name.removeprefix("gs://"), *([] if "gs://" in name else places)])


def _made_as(noun: list[str], key: str, flags: dict[str, str]) -> str:
    # An account is made by its short name, and later called by its email address.
    if noun == ["iam", "service-accounts"]:
        return f"{key}@{flags['project']}.iam.gserviceaccount.com"
    return key


def _resource(noun: list[str], name: str, flags: dict[str, str]) -> dict[str, Any]:
    labels = dict(label.split("=") for label in flags.get("labels", "").split(",") if label)
    match noun:
        case ["artifacts", "repositories"]:
            return {"format": flags["repository-format"].upper(), "labels": labels}
        case ["iam", "service-accounts"]:
            email = f"{name}@{flags['project']}.iam.gserviceaccount.com"
            return {"email": email, "description": flags.get("description", "")}
        case ["container", "clusters"]:
            return {"name": name, "resourceLabels": labels, **_cluster(flags)}
        case ["container", "node-pools"]:
            node_labels = dict(label.split("=") for label in flags["node-labels"].split(","))
            return {"name": name, "config": {"labels": node_labels}, "given": flags}
        case ["storage", "buckets"]:
            return {"name": name.removeprefix("gs://")}
        case _:
            return {"name": f"projects/123/secrets/{name}", "labels": labels, "versions": []}


def _cluster(flags: dict[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if "workload-pool" in flags:
        changed["workloadIdentityConfig"] = {"workloadPool": flags["workload-pool"]}
    if "enable-autoprovisioning" in flags:
        changed["autoscaling"] = {"enableNodeAutoprovisioning": True}
    if "enable-secret-manager" in flags:
        changed["secretManagerConfig"] = {"enabled": True}
    return changed


def _show(thing: dict[str, Any], shape: str) -> str:
    path = shape.removeprefix("value(").removesuffix(")").removesuffix(".basename()")
    found: Any = thing
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return str(found).rpartition("/")[2] if "basename" in shape else str(found)


def _services(world: World, verb: str, operands: list[str]) -> str:
    enabled = world.setdefault("services", [])
    enabled += [name for name in operands if name not in enabled and verb == "enable"]
    return "\n".join(enabled)


def _versions(
    world: World, verb: str, flags: dict[str, str], operands: list[str], directory: Path
) -> str | None:
    secret = world.get("secrets", {}).get(flags.get("secret") or operands[0])
    if secret is None or (verb == "describe" and not secret["versions"]):
        fail("ERROR: NOT_FOUND: Secret or version not found")
    if verb == "describe":
        return "ENABLED"
    secret["versions"].append(len((directory / flags["data-file"]).read_bytes()))
    return None


def _policy(world: World, thing: dict[str, Any], verb: str, flags: dict[str, str]) -> str:
    bindings = thing.setdefault("bindings", [])
    if verb == "get-iam-policy":
        assert flags["flatten"] == "bindings[].members"
        assert flags["format"] == "csv[no-heading](bindings.role,bindings.members)"
        return "\n".join(bindings)
    email = flags["member"].removeprefix("serviceAccount:")
    accounts = world.get("iam service-accounts", {})
    if "@" in email and email not in accounts:
        fail(f"ERROR: INVALID_ARGUMENT: Service account {email} does not exist.")
    binding = f"{flags['role']},{flags['member']}"
    if verb.startswith("add") and binding not in bindings:
        bindings.append(binding)
    if verb.startswith("remove"):
        if binding not in bindings:
            fail("ERROR: Policy binding with the specified principal and role not found!")
        bindings.remove(binding)
    return ""
