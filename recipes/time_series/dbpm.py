"""DBPM (Lan et al., ICLR 2024): SimCLR that mines noisy and faulty positive pairs.

python recipes/time_series/dbpm.py data.name=OSULeaf
python recipes/time_series/dbpm.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/dbpm", *sys.argv[1:]])
