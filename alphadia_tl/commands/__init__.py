"""The sub-commands of ``alphadia-tl``, one file each."""
