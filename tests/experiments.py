"""The experiment of the end-to-end tests."""

from dataclasses import replace

from alphadia_tl.simulate.experiment import SMALL

#: SMALL with base weights that are trained half as long; its MS2 model predicts hardly worse.
QUICK = replace(SMALL, training=replace(SMALL.training, n_rt=1500, n_charge=700, n_ms2=1000, n_ccs=100, epochs_ms2=4))
