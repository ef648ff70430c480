"""SimCLR (Chen et al., ICML 2020) on time series: two augmented views, one normalised softmax.

python recipes/time_series/simclr.py data.name=OSULeaf
python recipes/time_series/simclr.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/simclr", *sys.argv[1:]])
