"""Programs in the place of commands that take minutes; alphaDIA as if it were of another version."""


def put_in_place(monkeypatch, folder, module, code):
    """Let ``python -m module`` run the code: the test goes to a folder in which it is found first.

    The code finds the command line after the module in ``ARGS``.
    """
    *packages, name = module.split(".")
    where = folder.joinpath(*packages)
    where.mkdir(parents=True, exist_ok=True)
    if packages:
        (where / "__init__.py").touch()
    (where / f"{name}.py").write_text(f"import sys\nARGS = sys.argv[1:]\n{code}", encoding="utf-8")
    monkeypatch.chdir(folder)


def install_alphadia(monkeypatch, folder, version):
    """Let Python find what pip notes of an installed alphaDIA of another version first."""
    install(monkeypatch, folder, "alphadia", version)


def install(monkeypatch, folder, name, version):
    """Let Python find what pip notes of an installed package of another version first."""
    noted = folder / f"{name}-{version}.dist-info"
    noted.mkdir(parents=True)
    (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(folder)
