"""A network of torchvision, a DataLoader, and the augmentation of its training."""

import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18
from torchvision.transforms import v2

torch.manual_seed(0)
network = resnet18(num_classes=4).eval()
images, labels = torch.rand(96, 3, 32, 32), torch.randint(0, 4, (96,))
loader = DataLoader(TensorDataset(images, labels), batch_size=32)

# ---- equiprob ----
import equiprob as ep

predict = ep.adapters.from_torch(network, call=lambda module, batch: module(batch).softmax(-1))
turns = ep.transforms.from_augmentation(v2.RandomRotation(30), acts_on="image_channels_first")
orbits = ep.evaluate_orbits(predict, loader, turns, n_transforms=8)
ep.ModelEquivarianceError().fit(orbits).plot(kind="posterior").savefig("figure.png")
