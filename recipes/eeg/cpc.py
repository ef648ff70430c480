"""Contrastive predictive coding on EEG (Banville et al., J. Neural Eng. 2021).

python recipes/eeg/cpc.py data.root=MY_FOLDER 'data.preparation.band_hz=[0.5,45]'
python recipes/eeg/cpc.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/cpc", *sys.argv[1:]])
