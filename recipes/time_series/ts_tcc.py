"""TS-TCC (Eldele et al., IJCAI 2021): one view's past predicts the other view's future.

python recipes/time_series/ts_tcc.py data.name=OSULeaf
python recipes/time_series/ts_tcc.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/ts_tcc", *sys.argv[1:]])
