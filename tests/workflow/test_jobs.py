"""What has to be there before a job is Snakemake's to know: alphaDIA's plan reads tables that no argument names."""

import re
from pathlib import Path

import alphadia_tl.workflow

SNAKEFILE = Path(alphadia_tl.workflow.__file__).with_name("Snakefile")


def input_of(rule_or_function):
    text = SNAKEFILE.read_text(encoding="utf-8")
    found = re.search(rf"^(rule|def) {rule_or_function}\b.*?(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
    return found.group(0)


def functions_of(**names):
    """Return the input functions of the Snakefile, which are plain Python, with Snakemake's names given."""
    text = "\n".join(input_of(name) for name in ("settings_of", "predicted", "before_search"))
    namespace = {"FIRST": "transfer", "FINAL": "library", "shards_of": lambda step: 2, "ancient": str, **names}
    exec(text, namespace)
    return namespace


class Wildcards:
    def __init__(self, step):
        self.step = step


def test_jobs_of_later_steps_wait_for_the_tables_of_the_first():
    functions = functions_of()
    for function in ("predicted", "before_search"):
        assert "jobs/transfer/combined.yaml" in functions[function](Wildcards("library"))
        assert "jobs/transfer/combined.yaml" not in functions[function](Wildcards("transfer"))
    assert "jobs/library/combined.yaml" in functions["predicted"](Wildcards("mbr"))


def test_new_tables_of_the_first_pass_do_not_make_the_tuned_library_again():
    functions = functions_of(ancient=lambda path: f"ancient {path}")
    assert "ancient jobs/transfer/combined.yaml" in functions["predicted"](Wildcards("library"))
