// The form leaves out of the URL what is not filled in.
document.getElementById('find')?.addEventListener('formdata', ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
});
