"""Brain to speech (Défossez et al., Nature Machine Intelligence 2023): which piece of speech did the listener hear?

python recipes/eeg/brain_speech.py data.root=BIDS_FOLDER
python recipes/eeg/brain_speech.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/brain_speech", *sys.argv[1:]])
