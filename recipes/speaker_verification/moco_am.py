"""MoCo with an additive margin: a queue of older utterances instead of a large batch.

python recipes/speaker_verification/moco_am.py data.root=MY_FOLDER
python recipes/speaker_verification/moco_am.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/moco_am", *sys.argv[1:]])
