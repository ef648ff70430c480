"""Contrastive predictive coding on raw waves (van den Oord et al., 2018; Riviere et al., 2020).

python recipes/keyword_spotting/cpc_frames.py data.root=FOLDER_PER_WORD
python recipes/keyword_spotting/cpc_frames.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "keyword_spotting/cpc_frames", *sys.argv[1:]])
