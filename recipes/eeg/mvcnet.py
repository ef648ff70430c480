"""MVCNet (Wang et al., Knowledge-Based Systems 2025): motor imagery with contrasts between views and between networks.

python recipes/eeg/mvcnet.py data.root=MY_RECORDINGS 'data.events={left_hand: left, right_hand: right}'
python recipes/eeg/mvcnet.py 'views.pairs=[["Channel 1","Channel 3"]]'  # the open recording, whose electrodes have no names
python recipes/eeg/mvcnet.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/mvcnet", *sys.argv[1:]])
