"""VICReg: variance, invariance and covariance of two crops, without negatives.

python recipes/speaker_verification/vicreg.py data.root=MY_FOLDER
python recipes/speaker_verification/vicreg.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/vicreg", *sys.argv[1:]])
