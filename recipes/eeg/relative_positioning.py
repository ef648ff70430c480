"""Relative positioning (Banville et al., J. Neural Eng. 2021): are two windows of a recording near each other?

python recipes/eeg/relative_positioning.py data.root=MY_FOLDER 'data.preparation.band_hz=[0.5,45]'
python recipes/eeg/relative_positioning.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/relative_positioning", *sys.argv[1:]])
