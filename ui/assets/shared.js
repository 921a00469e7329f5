// What the matches share is asked for when the page is there.
