"""CLMR (Spijkervet & Burgoyne, ISMIR 2021): SimCLR on raw music, with a SampleCNN.

python recipes/music/clmr.py data.root=MY_FOLDER
python recipes/music/clmr.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "music/clmr", *sys.argv[1:]])
