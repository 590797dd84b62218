"""Settings: defaults work, a wrong file is named by line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.llama_settings import OwnersChoice
from models.types import Label
from runtime import config
from runtime.config import Settings
from runtime.errors import ConfigError, exit_code


def test_a_first_start_needs_no_file(tmp_path: Path) -> None:
    assert config.load(tmp_path / "settings.toml") == Settings()


def test_every_setting_can_be_set() -> None:
    text = """
memory_budget_mb = 1500
threads = 4
reproducible = true
context_tokens = 1024
state_tokens = 6000
content_days = 7
label = "sensitive"
[models]
answer = ["qwen2.5-coder-0.5b", "smollm2-135m"]
[floors]
answer = 0.6
extract = 1
"""
    settings = config.parse(text, "settings.toml")
    assert settings.memory_budget_bytes(8 * 10**9) == 1_500_000_000
    assert (settings.threads, settings.content_days, settings.label) == (4, 7, Label.SENSITIVE)
    assert settings.language_models() == OwnersChoice(True, 1024, 6000)
    assert settings.models == {"answer": ("qwen2.5-coder-0.5b", "smollm2-135m")}
    assert settings.floors == {"answer": 0.6, "extract": 1.0}


def test_the_default_budget_is_a_share_of_the_memory() -> None:
    assert Settings().memory_budget_bytes(1000) == 600


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("threads = 0", 1, "field threads: input should be greater than or equal to 1"),
        ("\n# how many\nthreads = '4'", 3, "field threads: input should be a valid integer"),
        ("threads = true", 1, "field threads"),
        ("content_days = 1\nthread = 4", 2, "field thread: there is no such setting. Did you mean 'threads'?"),
        ("zzz = 4", 1, "The settings are memory_budget_mb, threads"),
        ("memory_budget_mb = 12", 1, "greater than or equal to 64"),
        ("memory_budget_mb = 12.5", 1, "field memory_budget_mb"),
        ("label = 'private'", 1, "it must be public, personal, sensitive or secret, but it is 'private'"),
        ("context_tokens = 100", 1, "field context_tokens: input should be greater than or equal to 256"),
        ("state_tokens = '6000'", 1, "field state_tokens: input should be a valid integer"),
        ("state_token = 6000", 1, "Did you mean 'state_tokens'?"),
        ("label = 3", 1, "it must be public"),
        ("[floors]\nwhen = 0.5\nanswer = 1.5", 3, "field floors.answer: input should be less than or equal to 1"),
        ("floors.answer = nan", 1, "field floors.answer"),
        ("[models]\nanswer = 'one'", 2, "field models.answer"),
        ("[models]\nanswer = ['a', 3]", 2, "field models.answer.1"),
        ("[models]\n'Not A Name' = []", 2, "field models.Not A Name"),
        ("models = 3", 1, "field models"),
    ],
)
def test_invalid_file_names_line_and_field(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "settings.toml")
    assert f"settings.toml, line {line}: " in str(caught.value)
    assert said in str(caught.value)
    assert exit_code(caught.value) == 2


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        config.parse("threads = 2\nlabel = personal\n", "settings.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"threads = 2 # \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbfthreads = 2\r\n")
    assert config.load(path).threads == 2


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"#" * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="no settings file"):
        config.load(path)


def test_a_folder_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").mkdir()
    with pytest.raises(ConfigError, match="can't be read"):
        config.load(tmp_path / "settings.toml")


def test_the_documented_example_is_valid_and_complete() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    text = page.read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    config.parse(example, "the example")
    for name in Settings.__dataclass_fields__:
        assert f"| `{name}` |" in text
