"""EEG-CLIP (N'dir and Schirrmeister, Frontiers in Robotics and AI 2025): recordings and their reports in one space.

python recipes/eeg/eeg_clip.py data.root=TUH_ABNORMAL text=transformers text.name=emilyalsentzer/Bio_ClinicalBERT text.pooling=cls
python recipes/eeg/eeg_clip.py data=eeg/simulated text.prompts=eeg_simulated
python recipes/eeg/eeg_clip.py --help
"""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    main(["pretrain", "eeg/eeg_clip", *sys.argv[1:]])
