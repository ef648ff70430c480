"""SimCLR with an additive angular margin.

python recipes/speaker_verification/simclr_aam.py data.root=MY_FOLDER
python recipes/speaker_verification/simclr_aam.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/simclr_aam", *sys.argv[1:]])
