"""BYOL: predictions of a slow twin's projections, without negatives.

python recipes/speaker_verification/byol.py data.root=MY_FOLDER
python recipes/speaker_verification/byol.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/byol", *sys.argv[1:]])
