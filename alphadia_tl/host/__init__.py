"""The one place that touches alphaDIA's plan, steps and command line.

alphaDIA 2.3 has no plugin interface. What is used here is checked before use, so that another
alphaDIA stops with a clear error instead of running something else.
"""

# fmt: off
# isort: off
from alphadia_tl.host.contract import (
    DIGEST_FILES, EXIT_USER_ERROR, EXIT_WRONG_FLAG, LIBRARY_STEP, MBR_STEP, PROGRESS_LEVEL, QUANT_FOLDER, SLICE,
    SPECLIB_FILE, TRANSFER_STEP, check_host, default_config, host_version, tolerated_keys,
)
from alphadia_tl.host.hooks import (
    as_user_error, classifiers_that_fail_start_again, mended_spectrum, mzml_is_mended, one_isomer_explains_a_peak,
    parse_command_line, run_command_line, start_logging, user_error_class,
)
from alphadia_tl.host.steps import (
    combine_runs, config_of, decoy_sequences, deep_merge, digest, digest_fasta, digested_once, effective_config,
    make_library, make_step, missing_runs_are_searched, precursors_of_peptides, precursors_to_predict, quant_folder,
    register_modifications, reuse_quantification, run_first_pass, run_search, search_only, search_run,
    with_absolute_paths,
)

__all__ = [
    "DIGEST_FILES", "EXIT_USER_ERROR", "EXIT_WRONG_FLAG", "LIBRARY_STEP", "MBR_STEP", "PROGRESS_LEVEL", "QUANT_FOLDER",
    "SLICE", "SPECLIB_FILE", "TRANSFER_STEP", "as_user_error", "check_host", "classifiers_that_fail_start_again",
    "combine_runs", "config_of", "decoy_sequences", "deep_merge", "default_config", "digest", "digest_fasta",
    "digested_once", "effective_config", "host_version", "make_library", "make_step", "mended_spectrum",
    "missing_runs_are_searched", "mzml_is_mended", "one_isomer_explains_a_peak", "parse_command_line",
    "precursors_of_peptides", "precursors_to_predict", "quant_folder", "register_modifications", "reuse_quantification",
    "run_command_line", "run_first_pass", "run_search", "search_only", "search_run", "start_logging", "tolerated_keys",
    "user_error_class", "with_absolute_paths",
]
