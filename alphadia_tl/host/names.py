"""Names that alphaDIA gives to steps, sections and files; it plans to rename "transfer"."""

SUPPORTED_SERIES = "2.3"
PROGRESS_LEVEL = 21  # alphaDIA's own level, just above INFO

# Columns of frag.transfer.parquet, needed where a run has no precursor and alphaDIA would fail to quantify fragments.
FRAGMENT_COLUMNS = {
    **dict.fromkeys(("precursor_idx", "rank", "frag_idx"), "uint32"),
    **dict.fromkeys(("mz", "mz_observed", "intensity", "correlation"), "float32"),
    **dict.fromkeys(("position", "number", "type", "charge", "loss_type"), "uint8"),
}

# Names that alphaDIA gives to steps, sections and files; it plans to rename "transfer".
TRANSFER_STEP = "transfer"
LIBRARY_STEP = "library"
MBR_STEP = "mbr"
QUANT_FOLDER = "quant"
SPECLIB_FILE = "speclib.hdf"
FLAT_LIBRARY_FILE = "speclib_flat.hdf"
PRECURSORS_STEM = "precursors"
EXIT_USER_ERROR = 1
