"""One thread: on shared cores torch's threads wait for each other, and small tensors gain nothing from a second one."""

import torch

torch.set_num_threads(1)
