"""The Python side of the sentiment figures: the handler as the platform's page on handlers has it, on runpod and transformers.

The one difference: the model is the folder MODEL_DIR, where the page names a model that is fetched.
"""

import os

import runpod
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

name = os.environ["MODEL_DIR"]
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForSequenceClassification.from_pretrained(name)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = model.to(device)


def handler(job):
    inputs = tokenizer(job["input"]["prompt"], return_tensors="pt", truncation=True, max_length=512).to(device)
    with torch.no_grad():
        probabilities = torch.nn.functional.softmax(model(**inputs).logits, dim=-1)[0]
    best = int(probabilities.argmax())
    return {"sentiment": model.config.id2label[best].lower(), "confidence": round(float(probabilities[best]), 4)}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
