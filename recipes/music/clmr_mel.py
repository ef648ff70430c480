"""CLMR's views and loss with a log-mel encoder: for people who want speed.

python recipes/music/clmr_mel.py data.root=MY_FOLDER
python recipes/music/clmr_mel.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "music/clmr_mel", *sys.argv[1:]])
