// What shall outlive a reload, kept in this browser (IndexedDB) by name; a browser without it
// forgets.

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("schroedinger-bridge-studio", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("documents");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function act(mode, work) {
  try {
    const base = await open();
    return await new Promise((resolve, reject) => {
      const request = work(base.transaction("documents", mode).objectStore("documents"));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}

export const remember = (name, value) => act("readwrite", (all) => all.put(value, name));
export const recall = (name) => act("readonly", (all) => all.get(name));
export const forget = (name) => act("readwrite", (all) => all.delete(name));
