"""The advice of messages: who follows it gets on."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from made_inputs import searchable
from made_outputs import precursors, write_output
from packaging.requirements import Requirement
from report.conftest import made_facts, write_bundle

import alphadia_tl
from alphadia_tl import cli, errors, host
from alphadia_tl.commands.common import read_config, read_config_dict
from alphadia_tl.errors import TransferLearningError
from alphadia_tl.search.inputs import check_search, check_values, raw_files, switched_on
from alphadia_tl.settings import PluginSettings, TrainingSettings

ROOT = Path(alphadia_tl.__file__).parents[1]


def advice_of(call, *arguments):
    with pytest.raises(TransferLearningError) as error:
        call(*arguments)
    assert error.value.code in {e.code for e in vars(errors).values() if hasattr(e, "code")}
    assert error.value.advice
    return error.value.advice


@pytest.mark.parametrize("written", ["1e-4", "2E-3", "'0.001'", "1e-10"])
def test_a_number_that_yaml_takes_for_text_is_written_as_the_message_says(written):
    read = lambda text: TrainingSettings.from_mapping(yaml.safe_load(text), ignore_unknown=True)  # noqa: E731
    told = re.fullmatch(r"Write (\S+)\.", advice_of(read, f"max_lr: {written}"))
    assert read(f"max_lr: {told[1]}").max_lr == float(written.strip("'"))


def read_config_text(folder, text, encoding="utf-8"):
    (folder / "c.yaml").write_text(text, encoding=encoding)
    config = read_config(folder / "c.yaml")
    check_values(config)
    return config


# What a config is, what its message must advise, and what it is when that is done.
CONFIGS = {
    "tabs": ("general:\n\tthread_count: 1\n", "Indent with blanks", "general:\n  thread_count: 1\n"),
    "a list": ("- thread_count\n", "Write 'key: value' on each line", "thread_count: 1\n"),
    "a text for a section": ("general: 1\n", "begins with two blanks", "general:\n  thread_count: 1\n"),
}


@pytest.mark.parametrize(("wrong", "advice", "right"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_that_is_corrected_as_advised_is_read(tmp_path, wrong, advice, right):
    assert advice in advice_of(read_config_text, tmp_path, wrong)
    assert read_config_text(tmp_path, right)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_config_that_is_saved_as_utf8_is_read(tmp_path, encoding):
    assert advice_of(read_config_text, tmp_path, "a: \u00fc\n", encoding) == "Save it as UTF-8."
    assert read_config_text(tmp_path, "a: \u00fc\n") == {"a": "\u00fc"}


@pytest.mark.parametrize("text", ["{'a': 1}", "", "[1]", "a: 1"])
def test_the_json_that_is_shown_is_taken(text):
    shown = re.search(r"'(\{.*\})'", advice_of(read_config_dict, text))[1]
    assert read_config_dict(shown) == {"a": 1}


def test_the_section_that_is_shown_is_taken():
    shown = re.search(r"'(.*)'", advice_of(PluginSettings.from_mapping, "yes"))[1]
    assert PluginSettings.from_mapping(yaml.safe_load(shown)["alphadia_tl"]).enabled


@pytest.mark.parametrize("key", sorted(PluginSettings.deleted))
def test_a_key_of_an_earlier_version_is_left_out_as_advised(key):
    assert "Leave it out" in advice_of(PluginSettings.from_mapping, {"enabled": True, key: "of old"})
    assert PluginSettings.from_mapping({"enabled": True}).enabled


def test_the_known_keys_that_are_named_are_keys():
    known = advice_of(PluginSettings.from_mapping, {"epochs": 3}).removeprefix("Known keys: ").strip(".").split(", ")
    for key in known:
        PluginSettings.from_mapping({key: getattr(PluginSettings(), key)} if key != "entrapment" else {})


def test_raw_files_are_found_where_the_message_says(tmp_path):
    config = switched_on(searchable(tmp_path))
    advice = advice_of(check_search, {**config, "raw_paths": []})
    assert advice == "List them under raw_paths, or give --file."
    check_search({**config, "raw_paths": raw_files({"raw_paths": config["raw_paths"]})})
    assert raw_files({"raw_paths": [str(tmp_path / "a.raw")]}) == raw_files({}, [tmp_path / "a.raw"])
    told = re.search(r"'(.*)'", advice_of(raw_files, {"raw_paths": [str(tmp_path / "a.raw")]}, (), (), "("))[1]
    assert raw_files({}, [tmp_path / "a.raw"], (), told)


def test_what_is_to_be_installed_by_name_can_be_and_is_what_this_package_needs():
    """The package itself and its extras are in no registry."""
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "alphadia_tl").rglob("*.py")}
    said = [words for text in texts.values() for words in re.findall(r"pip install '([^']*)'", text)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    known = {(r := Requirement(text)).name: r.specifier for text in needed}
    assert said
    for words in said:
        requirement = Requirement(words.replace("{SUPPORTED_SERIES}", host.contract.SUPPORTED_SERIES))
        assert requirement.name != "alphadia_tl"
        assert requirement.specifier == known[requirement.name]


def commands_in_messages():
    for path in sorted((ROOT / "alphadia_tl").rglob("*.py")):
        yield from re.findall(r"alphadia-tl ([a-z]+)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(set(commands_in_messages())))
def test_a_command_that_a_message_names_is_there(name, capsys):
    assert name in cli.SUB_COMMANDS
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"alphadia-tl {name}" in capsys.readouterr().out


def test_a_report_without_a_damaged_table_is_made_as_advised(tmp_path, capsys):
    bundle = write_bundle(tmp_path / "transfer", made_facts())
    bundle.stats.write_text("damaged")
    assert cli.main(["report", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"{bundle.stats} " in told
    assert "Delete it to get a report without it." in told
    bundle.stats.unlink()
    assert cli.main(["report", str(tmp_path)]) == 0


def test_entrapment_flags_that_are_asked_for_are_taken(tmp_path, capsys):
    folders = [write_output(tmp_path / n, precursors(range(40)), fasta_paths=["/gone/x.fasta"]) for n in "ab"]
    words = ["compare", *map(str, folders), "-o", str(tmp_path / "out")]
    assert cli.main([*words, "--entrapment-ratio", "2"]) == 1
    assert "Give it with --entrapment-prefix." in capsys.readouterr().err
    assert cli.main([*words, "--entrapment-ratio", "2", "--entrapment-prefix", "E_"]) == 0


def test_whole_numbers_in_quotes_are_written_without(tmp_path):
    told = re.fullmatch(r"Write (\S+)\.", advice_of(TrainingSettings.from_mapping, {"epochs": "30"}))
    assert TrainingSettings.from_mapping(yaml.safe_load(f"epochs: {told[1]}")).epochs == 30
