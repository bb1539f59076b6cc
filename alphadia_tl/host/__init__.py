"""The one place that touches alphaDIA's plan, steps and command line.

alphaDIA 2.3 has no plugin interface. What is used here is checked before use, so that another
alphaDIA stops with a clear error instead of running something else.
"""

from alphadia_tl.host.contract import EXIT_USER_ERROR as EXIT_USER_ERROR
from alphadia_tl.host.contract import EXIT_WRONG_FLAG as EXIT_WRONG_FLAG
from alphadia_tl.host.contract import LIBRARY_STEP as LIBRARY_STEP
from alphadia_tl.host.contract import MBR_STEP as MBR_STEP
from alphadia_tl.host.contract import PROGRESS_LEVEL as PROGRESS_LEVEL
from alphadia_tl.host.contract import QUANT_FOLDER as QUANT_FOLDER
from alphadia_tl.host.contract import SPECLIB_FILE as SPECLIB_FILE
from alphadia_tl.host.contract import TRANSFER_STEP as TRANSFER_STEP
from alphadia_tl.host.contract import check_host as check_host
from alphadia_tl.host.contract import host_version as host_version
from alphadia_tl.host.hooks import as_user_error as as_user_error
from alphadia_tl.host.hooks import classifiers_that_fail_start_again as classifiers_that_fail_start_again
from alphadia_tl.host.hooks import run_command_line as run_command_line
from alphadia_tl.host.hooks import start_logging as start_logging
from alphadia_tl.host.hooks import user_error_class as user_error_class
from alphadia_tl.host.steps import checked_config as checked_config
from alphadia_tl.host.steps import combine_runs as combine_runs
from alphadia_tl.host.steps import config_of as config_of
from alphadia_tl.host.steps import deep_merge as deep_merge
from alphadia_tl.host.steps import effective_config as effective_config
from alphadia_tl.host.steps import make_library as make_library
from alphadia_tl.host.steps import make_step as make_step
from alphadia_tl.host.steps import missing_runs_are_searched as missing_runs_are_searched
from alphadia_tl.host.steps import precursors_to_predict as precursors_to_predict
from alphadia_tl.host.steps import quant_folder as quant_folder
from alphadia_tl.host.steps import register_modifications as register_modifications
from alphadia_tl.host.steps import reuse_quantification as reuse_quantification
from alphadia_tl.host.steps import run_first_pass as run_first_pass
from alphadia_tl.host.steps import run_search as run_search
from alphadia_tl.host.steps import search_only as search_only
from alphadia_tl.host.steps import search_run as search_run
