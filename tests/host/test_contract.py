from types import SimpleNamespace

import pytest
from stand_in import install_alphadia

from alphadia_tl import host
from alphadia_tl.errors import HostError
from alphadia_tl.host import contract as checks


def test_the_installed_alphadia_fits():
    host.check_host()


@pytest.mark.parametrize("version", ["2.2.9", "2.4.0", "3.0"])
def test_another_version_series_is_refused(monkeypatch, tmp_path, version):
    install_alphadia(monkeypatch, tmp_path, version)
    with pytest.raises(HostError, match=version):
        host.check_host()


@pytest.mark.parametrize("method", ["run_step", "run_plan", "__init__"])
def test_a_changed_signature_is_refused(monkeypatch, method):
    from alphadia.search_plan import SearchPlan

    monkeypatch.setattr(SearchPlan, method, lambda self, something_new: None)
    with pytest.raises(HostError, match=method):
        host.check_host()


@pytest.mark.parametrize(
    ("attributes", "right"), [({"_user_config": {}}, True), ({"_user_config": None}, False), ({}, False)]
)
def test_a_private_attribute_that_is_gone_or_of_another_kind_is_refused(attributes, right):
    found = SimpleNamespace(**attributes)
    if right:
        checks.check_attributes(found, {"_user_config": dict})
        return
    with pytest.raises(HostError, match="_user_config"):
        checks.check_attributes(found, {"_user_config": dict})


def test_a_changed_reader_of_mzml_files_is_refused(monkeypatch):
    import alpharaw.mzml

    monkeypatch.setattr(alpharaw.mzml, "parse_mzml_entry", lambda spectrum, unit: None)
    with pytest.raises(HostError, match=r"mzml\.parse_mzml_entry takes \['spectrum', 'unit'\]"):
        host.check_host()


def test_a_missing_method_is_refused(monkeypatch):
    from alphadia.search_step import SearchStep

    monkeypatch.delattr(SearchStep, "run")
    with pytest.raises(HostError, match=r"SearchStep\.run"):
        host.check_host()
