"""A training by Lightning, watched."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset


class Network(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        return (self(batch[0]) - batch[1]).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


torch.manual_seed(0)
x = torch.randn(20_000, 2)
loader = DataLoader(TensorDataset(x[:19_000], x[:19_000].norm(dim=1, keepdim=True)), batch_size=50)

# ---- equiprob ----
import equiprob as ep

watch = ep.callbacks.Watch(x[19_000:].numpy(), ep.transforms.rotations2d(acts_on="vectors"))
trainer = lightning.Trainer(max_epochs=3, callbacks=[ep.callbacks.for_lightning(watch)])
trainer.fit(Network(), loader)
watch.checks[-1].result.plot().savefig("figure.png")
