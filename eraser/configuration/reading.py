"""Reading the configuration: from the file, over it the environment, over it what the command line says.

Every error is found in one go, each with its place, what is wrong and what to do.
"""

import contextlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource
from pydantic_settings.exceptions import SettingsError

from eraser.configuration.model import (
    BandwidthDomainSettings,
    BaySettings,
    Configuration,
    PowerDomainSettings,
    Unfit,
    bay_map_of,
)
from eraser.configuration.toml_lines import line_of, lines_of
from eraser.domain.bay import Where
from eraser.errors import UsageError

MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One error. `where` is empty for the file as a whole; `origin` is `FILE:LINE`, or the environment's variable."""

    origin: str
    where: Where
    what: str
    remedy: str

    def __str__(self) -> str:
        place = dotted(self.where)
        return f"{self.origin}: {place + ': ' if place else ''}{self.what}. {self.remedy}"


class ConfigurationError(UsageError):
    """The configuration cannot be used; `problems` has every reason."""

    code = "configuration"

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = problems[0]
        super().__init__(
            f"{dotted(first.where)}: {first.what}{more}" if first.where else f"{first.what}{more}",
            subject=first.origin,
            remedy=f"{first.remedy} `eraser config check` shows all.",
        )
        self.problems = tuple(problems)


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Configuration:
    """The configuration of a station. Without a file the defaults count. Raises ConfigurationError with every problem.

    `overrides` has the shape of the file and goes before everything else.
    """
    text, name = ("", "configuration") if path is None else (_read(path), str(path))
    return parse(text, name, environ, overrides)


def parse(
    text: str, name: str, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Configuration:
    """The same from a text that is called `name` in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([_not_toml(name, str(error))]) from error
    try:
        configuration = _settings(data, environ, overrides or {})
    except SettingsError as error:
        problem = Problem("environment", (), str(error), "Unset the variable, or give it JSON.")
        raise ConfigurationError([problem]) from error
    except ValidationError as error:
        origins = _Origins(text, name, environ)
        problems = [_problem(item, origins) for item in error.errors()]
        raise ConfigurationError([*problems, *_map_problems(data, origins)]) from error
    origins = _Origins(text, name, environ)
    wrong = [Problem(origins.of(p.where), p.where, p.what, p.remedy) for p in configuration.bay_map().problems()]
    if wrong:
        raise ConfigurationError(wrong)
    return configuration


def dotted(where: Where) -> str:
    """A place as people write it: `bays[3].usb_port`; the first is 1, as people count."""
    text = ""
    for part in where:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _map_problems(data: Mapping[str, Any], origins: "_Origins") -> Iterator[Problem]:
    """What is wrong with the map as far as it could be read: bays and domains that are wrong themselves are left out."""
    given = {table: items if isinstance(items := data.get(table), list) else [] for table in _MAP_TABLES}
    readable: dict[str, dict[int, Any]] = {table: {} for table in _MAP_TABLES}
    for table, model in _MAP_TABLES.items():
        for index, item in enumerate(given[table]):
            with contextlib.suppress(ValidationError):
                readable[table][index] = model.model_validate(item)
    domains_are_whole = all(len(readable[table]) == len(given[table]) for table in _MAP_TABLES if table != "bays")
    for problem in bay_map_of(*(items.values() for items in readable.values())).problems():
        table, index, key = str(problem.where[0]), int(problem.where[1]), problem.where[2]
        if domains_are_whole or key not in _KEYS_THAT_NAME_DOMAINS:
            where = (table, list(readable[table])[index], key)
            yield Problem(origins.of(where), where, problem.what, problem.remedy)


_MAP_TABLES: dict[str, type[BaseModel]] = {
    "bays": BaySettings,
    "bandwidth_domains": BandwidthDomainSettings,
    "power_domains": PowerDomainSettings,
}
_KEYS_THAT_NAME_DOMAINS = {"bandwidth_domains", "power_domain", "within"}


def _settings(data: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Configuration:
    class Environment(EnvSettingsSource):
        def _load_env_vars(self) -> Mapping[str, str | None]:
            return {key.lower(): value for key, value in environ.items()}

    class FromFile(Configuration):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, Environment(settings_cls), InitSettingsSource(settings_cls, dict(data))

    return FromFile(**overrides)


def _read(path: Path) -> str:
    remedy = "Name another with --config; `eraser config example` prints one to start from."
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError([Problem(str(path), (), f"it is larger than {MAX_FILE_BYTES:,} bytes", remedy)])
        return content.decode()
    except OSError as error:
        what = f"the file cannot be read ({error.strerror})"
        raise ConfigurationError([Problem(str(path), (), what, remedy)]) from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = Problem(f"{path}:{line}", (), "it is no UTF-8 text", "Save it in UTF-8.")
        raise ConfigurationError([problem]) from error


def _not_toml(name: str, message: str) -> Problem:
    what, _, place = message.rpartition(" (at line ")
    line = place.partition(",")[0]
    origin = f"{name}:{line}" if line.isdigit() else name
    return Problem(origin, (), f"it is no TOML: {what or message}", "Correct the line, or the one before it.")


class _Origins:
    """Where a value came from: its line in the file, or the variable that goes before it."""

    def __init__(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        self._lines = lines_of(text)
        self._name = name
        self._variables = {name.upper() for name in environ}

    def of(self, where: Where) -> str:
        for length in range(len(where), 0, -1):
            variable = "ERASER_" + "__".join(str(part) for part in where[:length]).upper()
            if variable in self._variables:
                return f"environment variable {variable}"
        line = line_of(self._lines, where)
        return f"{self._name}:{line}" if line is not None else self._name


def _problem(item: ErrorDetails, origins: _Origins) -> Problem:
    where: Where = tuple(item["loc"])
    raised = item.get("ctx", {}).get("error")
    if isinstance(raised, Unfit):
        where = (*where, *raised.at)
        return Problem(origins.of(where), where, raised.what, raised.remedy)
    what, remedy = _explained(item, where)
    return Problem(origins.of(where), where, what, remedy)


def _explained(item: ErrorDetails, where: Where) -> tuple[str, str]:
    """What an error of pydantic's means, and what to do."""
    context = item.get("ctx", {})
    match item["type"]:
        case "extra_forbidden":
            known = sorted(_keys_around(where))
            close = get_close_matches(str(where[-1]), known, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"There are: {', '.join(known)}."
            return "there is no such setting", hint
        case "missing":
            return "it is missing", "Add it; `eraser config example` shows how."
        case "greater_than":
            return f"it must be more than {context['gt']}", "Write a larger number."
        case "greater_than_equal":
            return f"it must be at least {context['ge']}", "Write a larger number."
        case "less_than":
            return f"it must be less than {context['lt']}", "Write a smaller number."
        case "less_than_equal":
            return f"it must be at most {context['le']}", "Write a smaller number."
        case "enum" | "literal_error":
            return "there is no such choice", f"Choose {context['expected']}."
        case _:
            message = item["msg"][:1].lower() + item["msg"][1:]
            return message.replace("input should", "it should"), "`eraser config example` shows how it is written."


def _keys_around(where: Where) -> Iterator[str]:
    """Keys that may stand where the last part of `where` does."""
    model: type[BaseModel] = Configuration
    for part in where[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        models = [kind for kind in (annotation, *_arguments(annotation)) if _is_model(kind)]
        if not models:
            return
        model = models[0]
    yield from model.model_fields


def _arguments(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _arguments(inner)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
