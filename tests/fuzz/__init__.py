"""Any input gets an answer or one screen: whatever the words, files and bytes."""
