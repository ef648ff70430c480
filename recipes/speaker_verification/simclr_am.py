"""SimCLR with an additive margin: two noisy crops of an utterance closer than all others, by a margin.

python recipes/speaker_verification/simclr_am.py data.root=MY_FOLDER
python recipes/speaker_verification/simclr_am.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/simclr_am", *sys.argv[1:]])
