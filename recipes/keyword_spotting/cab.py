"""CAB-KWS (arXiv 2409.00356): a clip and its faster, louder version, and reconstruction of the mean spectrum.

python recipes/keyword_spotting/cab.py data.root=FOLDER_PER_WORD
python recipes/keyword_spotting/cab.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "keyword_spotting/cab", *sys.argv[1:]])
