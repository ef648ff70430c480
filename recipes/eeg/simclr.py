"""SimCLR (Chen et al., ICML 2020) on EEG.

python recipes/eeg/simclr.py data.root=MY_FOLDER 'data.preparation.band_hz=[0.5,45]'
python recipes/eeg/simclr.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/simclr", *sys.argv[1:]])
