"""Names in the lab's account, for those who need no more than the names."""

ACCOUNT = "123456789012"
REGION = "us-east-1"
PROJECT = "chaos-lab"
# Instances carry a tag of their own for experiments, so that nothing else of the project is hit.
TARGET_TAG = ("ChaosTarget", "true")
GROUP = "chaos-lab-asg"
LOAD_BALANCER = "chaos-lab-alb"
TARGET_GROUP = "chaos-lab-tg"
CLUSTER = "chaos-lab-aurora"
WRITER = "chaos-lab-writer"
# Not secrets: moto's server takes any. Named so that nobody mistakes them for real ones.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}
