"""SoftCLT on TS2Vec (Lee et al., ICLR 2024): soft assignments by distance between series and by gap in time.

python recipes/time_series/softclt.py data.name=OSULeaf
python recipes/time_series/softclt.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/softclt", *sys.argv[1:]])
