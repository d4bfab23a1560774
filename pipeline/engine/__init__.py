"""Wing of networks: torch only; no pandas, no disk."""

import warnings

# torch.func.vmap computes network after network what it knows no other way for; nothing for the user to do about it
warnings.filterwarnings(
    "ignore", message="There is a performance drop because we have not yet implemented the batching"
)
