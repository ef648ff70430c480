"""Sounds told apart within a recording, across versions of other tempo, pitch and microphone.

python recipes/keyword_spotting/frames.py data.root=FOLDER_PER_WORD
python recipes/keyword_spotting/frames.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "keyword_spotting/frames", *sys.argv[1:]])
