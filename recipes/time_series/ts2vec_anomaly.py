"""Streaming anomaly detection with TS2Vec (Yue et al., AAAI 2022) and SoftCLT's temporal term (Lee et al., ICLR 2024).

python recipes/time_series/ts2vec_anomaly.py data.name=Daphnet
python recipes/time_series/ts2vec_anomaly.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "time_series/ts2vec_anomaly", *sys.argv[1:]])
