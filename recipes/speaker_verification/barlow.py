"""Barlow Twins: decorrelated dimensions that agree between two crops, without negatives.

python recipes/speaker_verification/barlow.py data.root=MY_FOLDER
python recipes/speaker_verification/barlow.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/barlow", *sys.argv[1:]])
