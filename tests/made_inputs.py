"""Small inputs that a search would begin with."""

from made_mzml import write_cycles


def searchable(folder, *names):
    """Return a config whose raw files (a.mzML where none are named) and FASTA file are written into a folder."""
    raw = [folder / name for name in names or ("a.mzML",)]
    for path in raw:
        write_cycles(path)
    fasta = folder / "a.fasta"
    fasta.write_text(">sp|P1|A\nMSTAGKVDLEQWNPFTRLLSEAGHVKADFTYELNGR\n")
    prediction = {"enabled": True}
    return {"raw_paths": list(map(str, raw)), "fasta_paths": [str(fasta)], "library_prediction": prediction}
