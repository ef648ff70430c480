"""DINO: short and long crops find the prototypes that a slow teacher sees in the long ones; the teacher is what is saved.

python recipes/speaker_verification/dino.py data.root=MY_FOLDER
python recipes/speaker_verification/dino.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/dino", *sys.argv[1:]])
