"""SwAV: each crop predicts which prototypes the other is near.

python recipes/speaker_verification/swav.py data.root=MY_FOLDER
python recipes/speaker_verification/swav.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "speaker_verification/swav", *sys.argv[1:]])
