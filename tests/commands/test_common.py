import pytest

from alphadia_tl.commands.common import read_config
from alphadia_tl.errors import SettingsError


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1,", None])
def test_an_unreadable_config_is_an_error(tmp_path, content):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        read_config(path)


def test_yaml_objects_are_not_constructed(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path}/executed']\n")
    with pytest.raises(SettingsError, match="is no valid YAML"):
        read_config(path)
    assert not (tmp_path / "executed").exists()
