"""BadDiffusion (Chou, Chen, Ho; CVPR 2023) on tiny models: what `model probe` is measured on."""
