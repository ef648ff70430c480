"""SimCLR on the network of CAB-KWS, its control.

python recipes/keyword_spotting/simclr.py data.root=FOLDER_PER_WORD
python recipes/keyword_spotting/simclr.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "keyword_spotting/simclr", *sys.argv[1:]])
