"""Retrieval of clips by the similarity of their features."""

import torch
import torch.nn.functional as F
from mmaction.evaluation.metrics import RetrievalRecall
from mmaction.registry import METRICS

from ..errors import UserError


@METRICS.register_module()
class ClipRetrieval(RetrievalRecall):
    """Recall of a class among the most similar other clips, in percent.

    Every clip is a query to all others of the test; they are ranked by the
    cosine similarity of the features. ``Recall@k`` is the share of queries
    with a clip of their class among the first k. A clip that is the only one
    of its class never has one. Clips that cannot be read are left out. One
    whose features are not finite, of a model that diverged, finds no clip and
    is found by none.

    It takes the features of a recognizer with MMAction2's ``FeatureHead``,
    pooled in space and time, and ``average_clips='score'``.

    Args:
        topk: One k or several, each 1 or more and below the number of clips.
        **kwargs: Of MMAction2's ``RetrievalRecall``.

    Raises:
        UserError: If features are not one vector per clip, a clip may have
            several labels, or there are too few clips.
    """

    def process(self, data_batch, data_samples):
        """Store features (C,) and label of each clip of a batch.

        A clip that cannot be read has None for features.
        """
        for sample, features in zip(
            data_batch['data_samples'], data_samples, strict=True
        ):
            if not torch.is_tensor(features) or features.dim() != 1:
                came = getattr(features, 'shape', type(features).__name__)
                raise UserError(
                    f'the model returned {came} for a clip; ClipRetrieval '
                    "needs one vector; set cls_head type='FeatureHead' and "
                    "average_clips='score'"
                )
            if sample.gt_label.numel() != 1:
                raise UserError(
                    f'a clip has {sample.gt_label.numel()} labels or classes; '
                    'ClipRetrieval needs one label per clip; remove '
                    'multi_class from the data set, and give its list one '
                    'label per line'
                )
            # MMEngine cuts the samples that pad the last batches of several
            # processes by their number, which counts broken ones.
            features = None if sample.get('broken') else features.float().cpu()
            self.results.append((features, int(sample.gt_label)))

    def compute_metrics(self, results) -> dict:
        """Return the recalls, in percent."""
        results = [result for result in results if result[0] is not None]
        if len(results) <= max(self.topk):
            raise UserError(
                f'{len(results)} clips cannot rank {max(self.topk)} others; '
                'give a smaller topk to ClipRetrieval'
            )
        features, labels = zip(*results, strict=True)
        features = F.normalize(torch.stack(features), dim=1)  # (N, C)
        labels = torch.tensor(labels)
        similarity = features @ features.T
        relevant = labels[:, None] == labels
        similarity.fill_diagonal_(-torch.inf)
        relevant.fill_diagonal_(False)
        lost = ~features.isfinite().all(1)  # (N,), NaN would rank first
        for first, second in ((lost, slice(None)), (slice(None), lost)):
            similarity[first, second] = -torch.inf
            relevant[first, second] = False
        recalls = self.calculate(similarity, relevant.int(), self.topk)
        return {
            f'Recall@{k}': recall.item()
            for k, recall in zip(self.topk, recalls, strict=True)
        }
